// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC3156FlashLender} from "@openzeppelin/contracts/interfaces/IERC3156FlashLender.sol";
import {KeeperExecutor} from "../../src/keeper/KeeperExecutor.sol";
import {IKeeperExecutor} from "../../src/keeper/interfaces/IKeeperExecutor.sol";
import {IUniswapV3Factory, IUniswapV3Pool} from "../../src/keeper/interfaces/IUniswapV3.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IProducts} from "../../src/reference/interfaces/IProducts.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {Test} from "../Vm.sol";
import {StubArrays, StubAuctions, StubFactory, StubLender, StubPool, StubRelay, StubVenue} from "./ExecutorStubs.sol";
import {Mischief, OddToken} from "./Mischief.sol";

/// @notice The executor among stubs that can be told to do harm: USDC and WETH stay honest, `odd` need not.
abstract contract ExecutorBase is Test {
    uint256 internal constant ALL = type(uint256).max;
    uint256 internal constant USDC = 0;
    uint256 internal constant WETH = 1;
    uint256 internal constant ODD = 2;
    address internal constant RECEIVER = address(0xFEE);
    address internal constant STRANGER = address(0xBAD);
    uint256 internal constant OWN = uint256(uint160(RECEIVER)) << 96; // the receiver's account
    uint256 internal constant PRINCIPAL = 1_000e6;

    OddToken internal usdc;
    OddToken internal weth;
    OddToken internal odd;
    StubRelay internal relay;
    StubVenue internal desk;
    StubAuctions internal hall;
    StubArrays internal arrays;
    StubFactory internal factory;
    StubPool internal pool; // WETH for USDC
    StubPool internal oddPool; // the odd token for USDC
    StubLender internal lender;
    KeeperExecutor internal executor;

    function setUp() public virtual {
        (usdc, weth, odd) = (new OddToken(), new OddToken(), new OddToken());
        OddToken[] memory tokens = new OddToken[](3);
        (tokens[0], tokens[1], tokens[2]) = (usdc, weth, odd);
        relay = new StubRelay();
        desk = new StubVenue(tokens);
        hall = new StubAuctions(desk);
        arrays = new StubArrays(usdc);
        factory = new StubFactory();
        (pool, oddPool) = (_pool(weth), _pool(odd));
        lender = new StubLender();
        executor = new KeeperExecutor(address(this), address(this), RECEIVER, _peers(), _relays(address(relay)));
        executor.allowPool(IUniswapV3Pool(address(pool)), address(weth), true);
        executor.allowPool(IUniswapV3Pool(address(oddPool)), address(odd), true);
        _aimAll();
    }

    function _peers() internal view returns (IKeeperExecutor.Peers memory) {
        return IKeeperExecutor.Peers(
            IMarginVenue(address(desk)),
            IAuctions(address(hall)),
            IRiskArrays(address(arrays)),
            IProducts(address(desk)),
            address(usdc),
            IUniswapV3Factory(address(factory)),
            IERC3156FlashLender(address(lender))
        );
    }

    function _relays(address to) internal pure returns (IKeeperExecutor.Relay[] memory relays) {
        relays = new IKeeperExecutor.Relay[](1);
        relays[0] = IKeeperExecutor.Relay(to, StubRelay.push.selector);
    }

    /// @dev All of them know every way in. Operators even: the lock must hold where the role does not.
    function _aimAll() private {
        bytes[] memory entries = new bytes[](6);
        IKeeperExecutor.Job memory idle = _job(0);
        IKeeperExecutor.Job[] memory jobs = new IKeeperExecutor.Job[](1);
        jobs[0] = idle;
        entries[0] = abi.encodeCall(executor.run, (idle));
        entries[1] = abi.encodeCall(executor.tryMany, (jobs));
        entries[2] = abi.encodeCall(executor.attempt, (idle));
        entries[3] = abi.encodeCall(executor.sweep, (_tokens()));
        bytes memory passed = abi.encode(idle, 0);
        entries[4] = abi.encodeCall(executor.onFlashLoan, (address(executor), address(usdc), 0, 0, passed));
        entries[5] = abi.encodeCall(executor.uniswapV3SwapCallback, (1, 1, ""));
        Mischief[] memory all = _all();
        for (uint256 i; i < all.length; ++i) {
            all[i].aim(address(executor), entries, weth);
            executor.grantRole(executor.OPERATOR(), address(all[i]));
        }
    }

    function _all() internal view returns (Mischief[] memory all) {
        all = new Mischief[](8);
        (all[0], all[1], all[2], all[3]) = (odd, relay, desk, hall);
        (all[4], all[5], all[6], all[7]) = (arrays, pool, lender, oddPool);
    }

    // ---- jobs ----

    function _tokens() internal view returns (address[] memory tokens) {
        tokens = new address[](2);
        (tokens[0], tokens[1]) = (address(usdc), address(weth));
    }

    function _job(uint256 steps) internal view returns (IKeeperExecutor.Job memory job) {
        job.profitToken = address(usdc);
        job.deadline = type(uint40).max;
        job.gas = 8_000_000;
        job.tokens = _tokens();
        job.steps = new IKeeperExecutor.Step[](steps);
    }

    function _step(IKeeperExecutor.Kind kind, bytes memory arguments)
        internal
        pure
        returns (IKeeperExecutor.Step memory)
    {
        return IKeeperExecutor.Step(kind, 0, false, 800_000, arguments);
    }

    function _report() internal pure returns (IKeeperExecutor.Step memory) {
        return _step(IKeeperExecutor.Kind.Report, abi.encode(bytes("report")));
    }

    function _publish() internal pure returns (IKeeperExecutor.Step memory) {
        return _step(IKeeperExecutor.Kind.Publish, abi.encode(0, 0, 0, 0, 0, 0, bytes("arrays")));
    }

    function _start() internal pure returns (IKeeperExecutor.Step memory) {
        IAuctions.StartCall memory call;
        return _step(IKeeperExecutor.Kind.Start, abi.encode(call));
    }

    function _take() internal pure returns (IKeeperExecutor.Step memory) {
        IAuctions.TakeCall memory call;
        call.taker = OWN;
        return _step(IKeeperExecutor.Kind.Take, abi.encode(call));
    }

    function _deposit(uint256 asset, uint256 amount) internal pure returns (IKeeperExecutor.Step memory) {
        return _step(IKeeperExecutor.Kind.Deposit, abi.encode(IKeeperExecutor.DepositStep(OWN, asset, amount)));
    }

    function _withdraw(uint256 asset, uint256 amount) internal pure returns (IKeeperExecutor.Step memory) {
        return _step(
            IKeeperExecutor.Kind.Withdraw,
            abi.encode(IKeeperExecutor.WithdrawStep(OWN, asset, amount, type(uint64).max))
        );
    }

    /// @dev All there is.
    function _sell(OddToken token, uint256 minOut) internal view returns (IKeeperExecutor.Step memory) {
        return _sell(token, ALL, minOut);
    }

    function _sell(OddToken token, uint256 amount, uint256 minOut) internal view returns (IKeeperExecutor.Step memory) {
        address at = address(token == weth ? pool : oddPool);
        return
            _step(IKeeperExecutor.Kind.Swap, abi.encode(IKeeperExecutor.SwapStep(at, address(token), amount, minOut)));
    }

    function _pool(OddToken sold) internal returns (StubPool made) {
        made = new StubPool(address(sold), address(usdc));
        factory.add(made);
    }

    /// @dev Report, borrow, deposit, start, take, withdraw all, sell: 3,000 for a fee of 1.
    function _liquidation() internal view returns (IKeeperExecutor.Job memory job) {
        job = _job(8);
        job.loan = IKeeperExecutor.Loan(address(usdc), PRINCIPAL, PRINCIPAL / 1_000);
        job.minProfit = 2_999e6;
        job.steps[0] = _report();
        job.steps[1] = _publish();
        job.steps[2] = _deposit(USDC, PRINCIPAL);
        job.steps[3] = _start();
        job.steps[4] = _take();
        job.steps[5] = _withdraw(WETH, ALL);
        job.steps[6] = _withdraw(USDC, PRINCIPAL);
        job.steps[7] = _sell(weth, 3_000e6);
    }

    // ---- what must hold ----

    /// @dev Of honest tokens, by their own books.
    function _checkEmpty() internal view {
        _checkToken(usdc);
        _checkToken(weth);
    }

    function _checkToken(OddToken token) internal view {
        assertEq(token.truth(address(executor)), 0);
        _checkNoApproval(token);
    }

    function _checkNoApproval(OddToken token) internal view {
        Mischief[] memory all = _all();
        for (uint256 i; i < all.length; ++i) {
            assertEq(token.allowance(address(executor), address(all[i])), 0);
        }
    }
}
