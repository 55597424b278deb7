// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @title Chainlink's price feed interface, as published by Chainlink.
interface AggregatorV3Interface {
    /// @return Decimals of every answer.
    function decimals() external view returns (uint8);

    /// @return What is priced, for example "BTC / USD".
    function description() external view returns (string memory);

    /// @return Version of the implementation.
    function version() external view returns (uint256);

    /// @notice The facts of one past round.
    /// @param round The round asked for.
    /// @return roundId The same round.
    /// @return answer Price with `decimals()` decimals; signed, and a broken feed may say zero or less.
    /// @return startedAt Unix time the round began.
    /// @return updatedAt Unix time the answer was written.
    /// @return answeredInRound The round the answer was computed in.
    function getRoundData(uint80 round)
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);

    /// @notice The facts of the newest round; the values are those of `getRoundData`.
    function latestRoundData()
        external
        view
        returns (uint80 roundId, int256 answer, uint256 startedAt, uint256 updatedAt, uint80 answeredInRound);
}
