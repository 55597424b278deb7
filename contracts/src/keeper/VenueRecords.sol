// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Bonuses} from "../reference/Bonuses.sol";
import {IProducts} from "../reference/interfaces/IProducts.sol";
import {CollateralType, MarginParameters, ScanParameters} from "../reference/Types.sol";
import {VenueRules} from "../reference/VenueRules.sol";
import {IRiskSteward} from "./interfaces/IRiskSteward.sol";

/// @title The venue's records as lists of numbers, one a field: read whole, changed in places, written whole.
/// A record and a list of its length are the same words when encoded, and decoding refuses a number too wide for its field.
abstract contract VenueRecords is IRiskSteward {
    enum Record {
        Scan,
        Rates,
        Collateral,
        Limits,
        Bonus
    }

    IProducts public immutable PRODUCTS;
    VenueRules public immutable VENUE;
    Bonuses public immutable AUCTIONS;

    constructor(IProducts products, VenueRules venue, Bonuses auctions) {
        (PRODUCTS, VENUE, AUCTIONS) = (products, venue, auctions);
    }

    function _recordOf(Field field) internal pure returns (Record) {
        if (field < Field.ImScalar) return Record.Scan;
        if (field < Field.Haircut) return Record.Rates;
        if (field < Field.Band) return Record.Collateral;
        return field < Field.Bonus ? Record.Limits : Record.Bonus;
    }

    /// @dev Which of the record's numbers.
    function _placeOf(Field field) internal pure returns (uint256 place) {
        place = uint256(field);
        if (field < Field.ImScalar) return place;
        if (field < Field.Haircut) return place - uint256(Field.ImScalar);
        if (field < Field.Band) return place - uint256(Field.Haircut) + 3; // token, decimals and underlying before it
        return field < Field.Bonus ? place - uint256(Field.Band) : 0;
    }

    /// @dev As last written.
    function _read(Record record, uint8 id) internal view returns (uint256[] memory) {
        if (record == Record.Scan) {
            (, ScanParameters memory to,) = PRODUCTS.scanRamp(id, PRODUCTS.scanVersion(id));
            return _numbers(abi.encode(to));
        }
        if (record == Record.Rates) return _numbers(abi.encode(PRODUCTS.marginParameters(id)));
        if (record == Record.Collateral) return _numbers(abi.encode(PRODUCTS.collateral(id)));
        if (id != 0) revert NoTerms(record == Record.Limits ? Field.Band : Field.Bonus, id);
        if (record == Record.Bonus) {
            (uint256 most,,) = AUCTIONS.bonusAllowance();
            return _numbers(abi.encode(most));
        }
        (uint16 band, uint16 floorBand, uint128 leastNotional) = VENUE.limits();
        return _numbers(abi.encode(band, floorBand, leastNotional));
    }

    function _write(Record record, uint8 id, uint256[] memory numbers) internal {
        bytes memory words = abi.encodePacked(numbers);
        if (record == Record.Scan) PRODUCTS.setScanParameters(id, abi.decode(words, (ScanParameters)));
        else if (record == Record.Rates) PRODUCTS.setMarginParameters(id, abi.decode(words, (MarginParameters)));
        else if (record == Record.Collateral) PRODUCTS.setCollateral(id, abi.decode(words, (CollateralType)));
        else if (record == Record.Limits) VENUE.setLimits(abi.decode(words, (VenueRules.Limits)));
        else AUCTIONS.setBonus(numbers[0]);
    }

    /// @inheritdoc IRiskSteward
    function inForce(Field field, uint8 id) public view returns (uint256 im, uint256 mm) {
        Record record = _recordOf(field);
        uint256 place = _placeOf(field);
        if (record == Record.Scan) {
            uint32 version = PRODUCTS.scanVersion(id);
            im = _numbers(abi.encode(PRODUCTS.scanParameters(id, version, block.timestamp)))[place];
            return (im, im);
        }
        im = mm = _read(record, id)[place];
        if (record == Record.Rates) mm = _numbers(abi.encode(PRODUCTS.mmParameters(id)))[place];
        if (field == Field.Haircut) (,,, mm) = PRODUCTS.collateralTerms(id);
    }

    /// @dev Where MM's way to the number written began. A number that is taken back puts MM on a lower line from there.
    function _began(Field field, uint8 id) internal view returns (uint256 from) {
        if (field == Field.Haircut) {
            (from,) = PRODUCTS.haircutRamp(id);
        } else {
            (MarginParameters memory rates,) = PRODUCTS.marginRamp(id);
            from = _numbers(abi.encode(rates))[_placeOf(field)];
        }
    }

    function _numbers(bytes memory words) private pure returns (uint256[] memory numbers) {
        numbers = new uint256[](words.length / 32);
        for (uint256 i; i < numbers.length; ++i) {
            assembly ("memory-safe") {
                mstore(add(numbers, mul(32, add(i, 1))), mload(add(words, mul(32, add(i, 1)))))
            }
        }
    }
}
