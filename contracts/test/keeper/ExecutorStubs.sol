// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC3156FlashBorrower} from "@openzeppelin/contracts/interfaces/IERC3156FlashBorrower.sol";
import {Book, CollateralType} from "../../src/reference/Types.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IUniswapV3SwapCallback} from "../../src/keeper/interfaces/IUniswapV3.sol";
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
    uint8 public constant TAKES_NOTHING = 3; // and leaves the approval
    uint8 public constant TRICKS = 3;

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
        if (trick == TAKES_NOTHING) return;
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

/// @notice Knows every pool it is told of.
contract StubFactory {
    mapping(address tokenA => mapping(address tokenB => mapping(uint24 fee => address))) public getPool;

    function add(StubPool pool) external {
        getPool[pool.token0()][pool.token1()][pool.fee()] = address(pool);
    }
}

/// @notice Pays out of nothing 3,000 of six decimals for one of eighteen, then asks for what it has bought.
contract StubPool is Mischief {
    uint8 public constant TAKES_MORE = 1;
    uint8 public constant PAYS_LESS = 2;
    uint8 public constant PAYS_NOTHING = 3;
    uint8 public constant NEVER_CALLS = 4; // and takes nothing
    uint8 public constant CALLS_TWICE = 5;
    uint8 public constant BY_ANOTHER = 6; // which asks in its place
    uint8 public constant TAKES_LESS = 7; // as where its liquidity ends
    uint8 public constant ASKS_BELOW_ZERO = 8;
    uint8 public constant TRICKS = 8;

    uint256 private constant _RATE = 3_000e6;

    address public immutable token0;
    address public immutable token1;
    uint24 public immutable fee = 500;
    Accomplice private immutable _ACCOMPLICE = new Accomplice();

    constructor(address tokenA, address tokenB) {
        (token0, token1) = tokenA < tokenB ? (tokenA, tokenB) : (tokenB, tokenA);
    }

    function swap(address to, bool zeroForOne, int256 amount, uint160, bytes calldata)
        external
        returns (int256, int256)
    {
        _act();
        require(amount > 0, "AS");
        uint256 taken = trick == TAKES_LESS ? uint256(amount) / 2 : uint256(amount);
        uint256 bought = taken * _RATE / 1e18;
        uint256 paid = trick == PAYS_NOTHING ? 0 : trick == PAYS_LESS ? bought / 2 : bought;
        OddToken out = OddToken(zeroForOne ? token1 : token0);
        out.mint(address(this), paid);
        require(out.transfer(to, paid));
        if (trick == TAKES_MORE) ++taken;
        if (trick == ASKS_BELOW_ZERO) taken = uint256(-amount);
        if (trick != NEVER_CALLS) _ask(to, zeroForOne, int256(taken), bought);
        if (trick == CALLS_TWICE) _ask(to, zeroForOne, int256(taken), bought);
        return (0, 0);
    }

    /// @dev Anyone may have it ask.
    function ask(address to, uint256 amount) external {
        IUniswapV3SwapCallback(to).uniswapV3SwapCallback(int256(amount), int256(amount), "");
    }

    function _ask(address to, bool zeroForOne, int256 taken, uint256 bought) private {
        (int256 amount0, int256 amount1) = zeroForOne ? (taken, -int256(bought)) : (-int256(bought), taken);
        if (trick == BY_ANOTHER) _ACCOMPLICE.ask(to, amount0, amount1);
        else IUniswapV3SwapCallback(to).uniswapV3SwapCallback(amount0, amount1, "");
    }
}

/// @notice Calls back in another's place.
contract Accomplice {
    function ask(address to, int256 amount0, int256 amount1) external {
        IUniswapV3SwapCallback(to).uniswapV3SwapCallback(amount0, amount1, "");
    }

    function callBack(IERC3156FlashBorrower to, address initiator, address token, uint256 amount, bytes calldata passed)
        external
    {
        to.onFlashLoan(initiator, token, amount, 0, passed);
    }
}

/// @notice Lends out of nothing, for a thousandth, rounded up.
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
    uint8 public constant BY_ANOTHER = 11; // who calls back in its place
    uint8 public constant TRICKS = 11;

    Accomplice private immutable _ACCOMPLICE = new Accomplice();

    function flashLoan(IERC3156FlashBorrower to, address token, uint256 amount, bytes calldata passed)
        external
        returns (bool)
    {
        _act();
        uint256 fee = trick == HIGH_FEE ? amount : (amount + 999) / 1_000;
        if (trick != LENDS_NOTHING) OddToken(token).mint(address(to), amount);
        if (trick == NEVER_CALLS) return true;
        _callBack(to, token, amount, fee, passed);
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
        if (trick == BY_ANOTHER) _ACCOMPLICE.callBack(to, initiator, lent, amount, data);
        else to.onFlashLoan(initiator, lent, amount, fee, data);
    }
}
