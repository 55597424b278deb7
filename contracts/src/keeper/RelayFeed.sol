// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {AggregatorV3Interface} from "../demo/AggregatorV3Interface.sol";
import {Report} from "../reference/Types.sol";
import {PriceRelay} from "./PriceRelay.sol";

/// @title One underlying of a price relay as a Chainlink feed: a round is a report, its number the report's sequence.
/// @notice Both times are those of the observation, so that who measures a feed's age measures the price's. Confidence
/// has no place in this interface; who needs it reads the relay.
contract RelayFeed is AggregatorV3Interface {
    uint8 public constant MAX_DECIMALS = 18;

    error TooManyDecimals(uint8 found, uint8 most);
    error NoSuchRound(uint80 round, uint80 latest);
    /// @notice The price is less than the last decimal; 0 would read as a broken feed to some and as a price to others.
    error PriceTooSmall(uint128 price, uint256 unit);

    PriceRelay public immutable RELAY;
    uint8 public immutable UNDERLYING;
    /// @inheritdoc AggregatorV3Interface
    uint8 public immutable decimals;
    /// @inheritdoc AggregatorV3Interface
    uint256 public constant version = 1;
    /// @inheritdoc AggregatorV3Interface
    string public description;
    uint256 private immutable _UNIT;

    /// @param description_ What is priced, for example "BTC / USD".
    constructor(PriceRelay relay, uint8 underlying, uint8 decimals_, string memory description_) {
        if (decimals_ > MAX_DECIMALS) revert TooManyDecimals(decimals_, MAX_DECIMALS);
        (RELAY, UNDERLYING, decimals, description) = (relay, underlying, decimals_, description_);
        _UNIT = 10 ** (MAX_DECIMALS - decimals_);
    }

    /// @inheritdoc AggregatorV3Interface
    /// @dev Reverts NoReport before the first.
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        (Report memory last,,) = RELAY.newest(UNDERLYING);
        return _round(last);
    }

    /// @inheritdoc AggregatorV3Interface
    function getRoundData(uint80 round) external view returns (uint80, int256, uint256, uint256, uint80) {
        bytes32 id = round > type(uint32).max ? bytes32(0) : RELAY.idAt(UNDERLYING, uint32(round));
        if (id == 0) {
            (Report memory last,,) = RELAY.newest(UNDERLYING);
            revert NoSuchRound(round, last.sequence);
        }
        return _round(RELAY.report(id));
    }

    /// @dev Rounded down to the feed's decimals.
    function _round(Report memory r) private view returns (uint80, int256, uint256, uint256, uint80) {
        uint256 answer = r.price / _UNIT;
        if (answer == 0) revert PriceTooSmall(r.price, _UNIT);
        return (r.sequence, int256(answer), r.timestamp, r.timestamp, r.sequence);
    }
}
