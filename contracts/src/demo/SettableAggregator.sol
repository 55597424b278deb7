// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {AggregatorV3Interface} from "./AggregatorV3Interface.sol";

/// @title A price feed whose owner says the price; for the demo and for tests.
/// @notice Answers are not checked: a test of a bad feed needs zero and negative ones.
contract SettableAggregator is AggregatorV3Interface, Ownable {
    /// @dev One answer, in one word.
    struct Round {
        int192 answer;
        uint64 updatedAt;
    }

    /// @notice The feed has no such round.
    error NoSuchRound(uint80 round, uint80 latest);
    /// @notice The answer does not fit in 192 bits.
    error AnswerTooWide(int256 answer);

    /// @notice A new answer, as Chainlink's own aggregators log it.
    event AnswerUpdated(int256 indexed current, uint256 indexed roundId, uint256 updatedAt);

    /// @inheritdoc AggregatorV3Interface
    uint8 public immutable decimals;
    /// @inheritdoc AggregatorV3Interface
    uint256 public constant version = 1;
    /// @inheritdoc AggregatorV3Interface
    string public description;

    Round[] private _rounds;

    /// @param description_ What is priced, for example "BTC / USD".
    /// @param decimals_ Decimals of every answer.
    constructor(string memory description_, uint8 decimals_) Ownable(msg.sender) {
        description = description_;
        decimals = decimals_;
    }

    /// @notice Start a round with this answer, dated now. The first round is 1.
    /// @param answer Price with `decimals` decimals; zero and negative are kept as they are.
    function push(int256 answer) external onlyOwner {
        if (answer != int192(answer)) revert AnswerTooWide(answer);
        _rounds.push(Round({answer: int192(answer), updatedAt: uint64(block.timestamp)}));
        emit AnswerUpdated(answer, _rounds.length, block.timestamp);
    }

    /// @inheritdoc AggregatorV3Interface
    function latestRoundData() external view returns (uint80, int256, uint256, uint256, uint80) {
        return _roundData(uint80(_rounds.length));
    }

    /// @inheritdoc AggregatorV3Interface
    function getRoundData(uint80 round) external view returns (uint80, int256, uint256, uint256, uint80) {
        return _roundData(round);
    }

    function _roundData(uint80 round) private view returns (uint80, int256, uint256, uint256, uint80) {
        uint80 latest = uint80(_rounds.length);
        if (round == 0 || round > latest) revert NoSuchRound(round, latest);
        Round storage facts = _rounds[round - 1];
        return (round, facts.answer, facts.updatedAt, facts.updatedAt, round);
    }
}
