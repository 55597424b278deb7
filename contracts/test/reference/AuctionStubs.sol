// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AuctionMath} from "../../src/reference/AuctionMath.sol";
import {Book, Check, Legs, MarginParameters} from "../../src/reference/Types.sol";

/// Margin with a price for everything and a requirement linear in size: arithmetic one can do by hand.
contract LinearMargin {
    using Legs for uint256;

    error Stale(bytes32 which);

    int256 public price = 100e18;
    mapping(bytes32 path => uint256) public rate; // MM per contract, wad
    mapping(bytes32 path => bool) public stale;
    mapping(bytes32 path => bool) public endless;

    function set(bytes32 path, uint256 rate_) external {
        rate[path] = rate_;
    }

    function setStale(bytes32 path, bool stale_) external {
        stale[path] = stale_;
    }

    function setEndless(bytes32 path, bool endless_) external {
        endless[path] = endless_;
    }

    function setPrice(int256 price_) external {
        price = price_;
    }

    function byArrays(Book calldata book) external view returns (Check memory) {
        return _check(book, "newest");
    }

    function bySettledArrays(Book calldata book) external view returns (Check memory) {
        return _check(book, "settled");
    }

    function byLegs(Book calldata book) external view returns (Check memory) {
        return _check(book, "alone");
    }

    function byScenario(Book calldata book, uint256 scenarios) external view returns (Check memory) {
        return _check(book, scenarios == type(uint256).max ? bytes32("none") : bytes32("scenario"));
    }

    function byScenarioAndValues(Book calldata book, uint256 scenarios)
        external
        view
        returns (Check memory check, int256[] memory fine)
    {
        check = _check(book, scenarios == type(uint256).max ? bytes32("none") : bytes32("scenario"));
        fine = new int256[](book.legs.length);
        for (uint256 i; i < fine.length; ++i) {
            fine[i] = book.legs[i].sizeOf() * price;
        }
    }

    function _check(Book calldata book, bytes32 path) private view returns (Check memory check) {
        if (stale[path]) revert Stale(path);
        while (endless[path]) {}
        check.equity = book.cash;
        for (uint256 i; i < book.legs.length; ++i) {
            int256 size = book.legs[i].sizeOf();
            check.equity += size * price / 1e18;
            check.mm += uint256(size < 0 ? -size : size) * rate[path] / 1e18;
        }
        for (uint256 i; i < book.collateral.length; ++i) {
            check.equity += int256(uint256(uint128(book.collateral[i]))) * price / 1e18;
        }
        check.im = check.mm * 2;
    }
}

/// One underlying, one 18-decimal collateral of it; no concentration unless set.
contract PlainProducts {
    MarginParameters private _parameters;

    function setConcentration(uint16 rate, uint128 from) external {
        (_parameters.concentrationRate, _parameters.concentrationFrom) = (rate, from);
    }

    uint16 public MOST_INCENTIVE = 10_000;

    function setMostIncentive(uint16 most) external {
        MOST_INCENTIVE = most;
    }

    function underlyings() external pure returns (uint256) {
        return 1;
    }

    address public steward = msg.sender;

    function collateralTerms(uint256) external pure returns (uint8, uint8, uint16, uint16) {
        return (0, 18, 0, 0);
    }

    function mmParameters(uint8) external view returns (MarginParameters memory) {
        return _parameters;
    }

    function quote(uint8) external view returns (uint128, uint128, uint40) {
        return (100e18, 0, uint40(block.timestamp));
    }
}

/// Books that can be set, and a record of the last seizure, carried out as the venue says.
contract BareLedger {
    mapping(uint256 account => Book) private _books;
    mapping(uint256 account => uint64) public sequence;
    mapping(uint256 account => uint256) public touched;
    int256 public fund;
    uint256 public badDebt;

    function set(uint256 account, int256 cash, int128 size, uint256 collateral) external {
        Book storage book_ = _books[account];
        delete _books[account];
        book_.cash = cash;
        if (size != 0) book_.legs.push(Legs.pack(0, size));
        if (collateral != 0) book_.collateral.push(collateral);
    }

    function setFund(int256 fund_) external {
        fund = fund_;
    }

    function touch(uint256 account) external {
        ++touched[account];
    }

    function book(uint256 account) public view returns (Book memory) {
        return _books[account];
    }

    function mayAct(uint256 account, address caller, bytes4) external pure returns (bool) {
        return address(uint160(account >> 96)) == caller;
    }

    function seize(uint256 from, uint256 to, uint256 fraction, int256 payment, uint256 fromFund, uint256 shared)
        external
    {
        ++touched[from];
        ++touched[to];
        Book memory part = AuctionMath.moved(_books[from], fraction);
        _books[from].cash += payment - part.cash + int256(fromFund + shared);
        _books[to].cash += part.cash - payment;
        if (part.legs.length != 0) {
            _move(from, -Legs.sizeOf(part.legs[0]));
            _move(to, Legs.sizeOf(part.legs[0]));
        }
        if (part.collateral.length != 0) {
            _books[from].collateral[0] -= part.collateral[0];
            if (_books[to].collateral.length == 0) _books[to].collateral.push(0);
            _books[to].collateral[0] += part.collateral[0];
        }
        fund -= int256(fromFund);
        badDebt += shared;
        ++sequence[from];
        ++sequence[to];
    }

    function _move(uint256 account, int256 size) private {
        uint256[] storage legs = _books[account].legs;
        if (legs.length == 0) legs.push(Legs.pack(0, 0));
        legs[0] = Legs.pack(0, int128(Legs.sizeOf(legs[0]) + size));
        if (Legs.sizeOf(legs[0]) == 0) legs.pop();
    }
}
