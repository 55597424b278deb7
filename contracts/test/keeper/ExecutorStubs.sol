// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC3156FlashBorrower} from "@openzeppelin/contracts/interfaces/IERC3156FlashBorrower.sol";
import {Book, CollateralType} from "../../src/reference/Types.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {ISwapRouter} from "../../src/keeper/interfaces/ISwapRouter.sol";
import {Mischief, OddToken} from "./Mischief.sol";

/// @notice A relay; counts what it was told.
contract StubRelay is Mischief {
    uint256 public pushed;
    bytes public last;

    function push(bytes calldata report) external {
        _act();
        (last, pushed) = (report, pushed + 1);
    }
}

/// @notice Ledger and collateral list in one. Assets are numbered as the venue's: 0 is the settlement token.
contract StubVenue is Mischief {
    uint8 public constant TAKES_MORE = 1;
    uint8 public constant PAYS_LESS = 2;
    uint8 public constant TRICKS = 2;

    OddToken[] public tokens;
    mapping(uint256 account => mapping(uint256 asset => uint256)) public owned;

    constructor(OddToken[] memory tokens_) {
        tokens = tokens_;
    }

    function credit(uint256 account, uint256 asset, uint256 amount) external {
        owned[account][asset] += amount;
        tokens[asset].mint(address(this), amount);
    }

    function collateral(uint256 index) external view returns (CollateralType memory) {
        return CollateralType(address(tokens[index + 1]), 18, 0, 0, 0);
    }

    function deposit(uint256 account, uint256 asset, uint256 amount) external {
        _act();
        if (trick == TAKES_MORE) ++amount;
        owned[account][asset] += amount;
        require(tokens[asset].transferFrom(msg.sender, address(this), amount));
    }

    function withdraw(uint256 account, uint256 asset, uint256 amount, address to, uint64) external {
        _act();
        owned[account][asset] -= amount;
        require(tokens[asset].transfer(to, trick == PAYS_LESS ? amount / 2 : amount));
    }

    function recorded(uint256 account) external view returns (Book memory book, uint40) {
        _actInView();
        book.collateral = new uint256[](tokens.length - 1);
        for (uint256 i; i < book.collateral.length; ++i) {
            book.collateral[i] = i << 128 | owned[account][i + 1];
        }
        return (book, 0);
    }
}

/// @notice A take pays the taker a unit of collateral 0.
contract StubAuctions is Mischief {
    StubVenue private immutable _VENUE;
    uint256 public started;
    uint256 public ended;

    constructor(StubVenue venue) {
        _VENUE = venue;
    }

    function startAuction(IAuctions.StartCall calldata) external returns (uint64) {
        _act();
        return uint64(++started);
    }

    function endAuction(IAuctions.EndCall calldata) external {
        _act();
        ++ended;
    }

    function take(IAuctions.TakeCall calldata call) external returns (uint256, int256) {
        _act();
        _VENUE.credit(call.taker, 1, 1e18);
        return (call.maxFraction, 0);
    }
}

/// @notice A publisher's counterpart: takes bonds and arrays.
contract StubArrays is Mischief {
    OddToken private immutable _TOKEN;
    uint256 public published;
    mapping(address => uint256) public bonded;

    constructor(OddToken token) {
        _TOKEN = token;
    }

    function publish(uint8, uint40, bytes32, bytes32, uint32, bytes32, bytes calldata) external returns (uint256) {
        _act();
        return ++published;
    }

    function bond(uint256 amount) external {
        bonded[msg.sender] += amount;
        require(_TOKEN.transferFrom(msg.sender, address(this), amount));
    }

    function requestUnbond() external {}

    function finishUnbond() external {
        uint256 amount = bonded[msg.sender];
        bonded[msg.sender] = 0;
        require(_TOKEN.transfer(msg.sender, amount));
    }
}

/// @notice Sells at `rate`, out of nothing.
contract StubRouter is Mischief {
    uint8 public constant TAKES_MORE = 1;
    uint8 public constant PAYS_LESS = 2;
    uint8 public constant PAYS_NOTHING = 3;
    uint8 public constant TAKES_NOTHING = 4; // and leaves the approval
    uint8 public constant TRICKS = 4;

    uint256 public rate = 3_000e6; // a wad of what is sold

    function exactInput(ISwapRouter.ExactInputParams calldata p) external payable returns (uint256 bought) {
        _act();
        address sold = address(bytes20(p.path[:20]));
        if (trick != TAKES_NOTHING) {
            uint256 taken = trick == TAKES_MORE ? p.amountIn + 1 : p.amountIn;
            require(OddToken(sold).transferFrom(msg.sender, address(this), taken));
        }
        bought = p.amountIn * rate / 1e18;
        uint256 paid = trick == PAYS_NOTHING ? 0 : trick == PAYS_LESS ? bought / 2 : bought;
        OddToken(address(bytes20(p.path[p.path.length - 20:]))).mint(p.recipient, paid);
    }
}

/// @notice Lends out of nothing, for a thousandth.
contract StubLender is Mischief {
    uint8 public constant LENDS_NOTHING = 1;
    uint8 public constant CALLS_TWICE = 2;
    uint8 public constant OTHER_DATA = 3;
    uint8 public constant OTHER_AMOUNT = 4;
    uint8 public constant OTHER_TOKEN = 5;
    uint8 public constant HIGH_FEE = 6;
    uint8 public constant NEVER_CALLS = 7;
    uint8 public constant TAKES_MORE = 8;
    uint8 public constant TAKES_NOTHING = 9; // and leaves the approval
    uint8 public constant OTHER_INITIATOR = 10;
    uint8 public constant TRICKS = 10;

    function flashLoan(IERC3156FlashBorrower to, address token, uint256 amount, bytes calldata passed)
        external
        returns (bool)
    {
        _act();
        uint256 fee = trick == HIGH_FEE ? amount : amount / 1_000;
        if (trick != LENDS_NOTHING) OddToken(token).mint(address(to), amount);
        if (trick != NEVER_CALLS) _callBack(to, token, amount, fee, passed);
        if (trick == CALLS_TWICE) _callBack(to, token, amount, fee, passed);
        if (trick == TAKES_NOTHING) return true;
        uint256 due = amount + fee + (trick == TAKES_MORE ? 1 : 0);
        require(OddToken(token).transferFrom(address(to), address(this), due));
        return true;
    }

    function _callBack(IERC3156FlashBorrower to, address token, uint256 amount, uint256 fee, bytes calldata passed)
        private
    {
        bytes memory data = trick == OTHER_DATA ? bytes.concat(passed, hex"00") : passed;
        address initiator = trick == OTHER_INITIATOR ? address(this) : msg.sender;
        address lent = trick == OTHER_TOKEN ? address(this) : token;
        if (trick == OTHER_AMOUNT) --amount;
        to.onFlashLoan(initiator, lent, amount, fee, data);
    }
}
