// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";

/// @title A collateral that turns on whoever liquidates its holders: for tests alone, never to be listed.
/// @notice Token and price feed in one, so a venue that values it runs its code in the midst of a liquidation. It spares
/// everybody but its prey, and, unless told otherwise, spares the prey too while a call is only tried (gas price 0).
contract HostileCollateral is ERC20 {
    enum Mode {
        Behave,
        Revert,
        BurnGas,
        ReturnBomb,
        RevertBomb
    }

    /// @notice Where a reader of feeds finds the answers behind this one.
    address public immutable getAggregator;
    uint256 private immutable _PRICE;

    Mode public mode;
    address public prey;
    bool public alsoWhenTried;
    uint256 public size; // bytes of a bomb

    /// @param aggregator An aggregator that answers.
    /// @param price USD, 18 decimals.
    constructor(address aggregator, uint256 price) ERC20("Hostile", "HOST") {
        getAggregator = aggregator;
        _PRICE = price;
    }

    /// @notice Create tokens. Anybody may.
    /// @param to Receiver.
    /// @param amount Base units.
    function mint(address to, uint256 amount) external {
        _mint(to, amount);
    }

    /// @notice Say what to do from now on, to whom, and with how many bytes. Anybody may.
    function turn(Mode mode_, address prey_, bool alsoWhenTried_, uint256 size_) external {
        mode = mode_;
        prey = prey_;
        alsoWhenTried = alsoWhenTried_;
        size = size_;
    }

    /// @notice Return the price, USD with 18 decimals, or do to the prey what was said.
    function getPrice(uint256) external view returns (uint256) {
        // slither-disable-next-line tx-origin
        bool spared = tx.origin != prey || (tx.gasprice == 0 && !alsoWhenTried);
        if (!spared) _strike();
        return _PRICE;
    }

    function _strike() private view {
        uint256 bytes_ = size;
        if (mode == Mode.Revert) revert("not today");
        if (mode == Mode.BurnGas) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        if (mode == Mode.ReturnBomb) {
            uint256 price = _PRICE;
            assembly {
                mstore(0, price)
                return(0, bytes_)
            }
        }
        if (mode == Mode.RevertBomb) {
            assembly {
                revert(0, bytes_)
            }
        }
    }
}
