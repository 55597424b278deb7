// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

/// @notice Who is told so does harm whenever it is called.
abstract contract Mischief {
    enum Harm {
        None,
        Revert,
        BurnGas,
        ReturnBomb,
        RevertBomb,
        Reenter,
        Gift
    }

    uint256 internal constant BOMB = 150_000; // bytes; fits the gas of one question

    Harm public harm;
    uint8 public trick; // what else it does wrong; each stub has its own, 0 is nothing
    address public executor;
    bytes[] public entries; // calls tried on the executor
    OddToken public present;
    bool public reentered; // one of them succeeded

    function turn(Harm harm_, uint8 trick_) external {
        (harm, trick) = (harm_, trick_);
    }

    function aim(address executor_, bytes[] memory entries_, OddToken present_) external {
        (executor, entries, present) = (executor_, entries_, present_);
    }

    function _act() internal {
        if (harm == Harm.Reenter) _reenter();
        else if (harm == Harm.Gift) present.mint(executor, 7);
        else _actInView();
    }

    function _reenter() private {
        harm = Harm.None; // once, or it would call itself through the executor
        for (uint256 i; i < entries.length; ++i) {
            (bool succeeded,) = executor.call(entries[i]);
            reentered = reentered || succeeded;
        }
        harm = Harm.Reenter;
    }

    function _actInView() internal view {
        if (harm == Harm.Revert) revert("not today");
        if (harm == Harm.BurnGas) {
            assembly ("memory-safe") {
                invalid()
            }
        }
        uint256 size = BOMB;
        if (harm == Harm.ReturnBomb) {
            assembly {
                return(0, size)
            }
        }
        if (harm == Harm.RevertBomb) {
            assembly {
                revert(0, size)
            }
        }
    }
}

/// @notice An ERC-20 anyone may mint, honest unless told otherwise.
contract OddToken is Mischief {
    uint8 public constant FEE = 1; // a hundredth of each transfer
    uint8 public constant SAYS_NO = 2; // and does it
    uint8 public constant SILENT = 3; // no return value
    uint8 public constant KEEPS_APPROVALS = 4; // never lowers one
    uint8 public constant SHOWS_MORE = 5; // a balance one too high
    uint8 public constant SHOWS_NONE = 6;
    uint8 public constant MOVES_NOTHING = 7; // and says yes
    uint8 public constant REVIVES = 8; // an approval taken back, with the next transfer
    uint8 public constant SAYS_LITTLE = 9; // a balance in fewer bytes than a word
    uint8 public constant TRICKS = 9;

    address private _revived;
    mapping(address => uint256) public truth;
    mapping(address => mapping(address => uint256)) private _allowance;

    function mint(address to, uint256 amount) external {
        truth[to] += amount;
    }

    function balanceOf(address who) external view returns (uint256) {
        _actInView();
        if (trick == SAYS_LITTLE) {
            assembly ("memory-safe") {
                mstore(0, 0)
                return(0, 31)
            }
        }
        if (trick == SHOWS_MORE) return truth[who] + 1;
        return trick == SHOWS_NONE ? 0 : truth[who];
    }

    function allowance(address owner, address spender) external view returns (uint256) {
        _actInView();
        return _allowance[owner][spender];
    }

    function approve(address spender, uint256 amount) external returns (bool) {
        _act();
        uint256 now_ = _allowance[msg.sender][spender];
        if (trick != KEEPS_APPROVALS || amount > now_) _allowance[msg.sender][spender] = amount;
        if (amount == 0) _revived = spender;
        return _answer();
    }

    function transfer(address to, uint256 amount) external returns (bool) {
        _act();
        if (trick == REVIVES) _allowance[msg.sender][_revived] = amount;
        _move(msg.sender, to, amount);
        return _answer();
    }

    function transferFrom(address from, address to, uint256 amount) external returns (bool) {
        _act();
        if (trick != KEEPS_APPROVALS) _allowance[from][msg.sender] -= amount;
        _move(from, to, amount);
        return _answer();
    }

    function _move(address from, address to, uint256 amount) private {
        if (trick == MOVES_NOTHING) return;
        truth[from] -= amount;
        truth[to] += trick == FEE ? amount - amount / 100 : amount;
    }

    function _answer() private view returns (bool) {
        if (trick == SILENT) {
            assembly ("memory-safe") {
                return(0, 0)
            }
        }
        return trick != SAYS_NO;
    }
}
