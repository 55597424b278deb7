// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {IERC3156FlashLender} from "@openzeppelin/contracts/interfaces/IERC3156FlashLender.sol";
import {KeeperExecutor} from "../../src/keeper/KeeperExecutor.sol";
import {IKeeperExecutor} from "../../src/keeper/interfaces/IKeeperExecutor.sol";
import {IUniswapV3Factory, IUniswapV3Pool} from "../../src/keeper/interfaces/IUniswapV3.sol";
import {IAuctions} from "../../src/reference/interfaces/IAuctions.sol";
import {IMarginVenue} from "../../src/reference/interfaces/IMarginVenue.sol";
import {IRiskArrays} from "../../src/reference/interfaces/IRiskArrays.sol";
import {Book, WAD} from "../../src/reference/Types.sol";
import {Fixture} from "../reference/Fixture.sol";
import {StubRelay} from "./ExecutorStubs.sol";
import {PooledLender, PooledPool} from "./ExecutorPools.sol";

/// The executor on the reference venue as deployed: it publishes under its own bond, starts, takes for the receiver's
/// account, which has named it its delegate, withdraws what was seized, sells it and repays.
contract ExecutorVenueTest is Fixture {
    uint256 private constant LOSER = 31;
    uint256 private constant WINNER = 32;
    uint256 private constant RECEIVER = 33;
    uint256 private constant ALL = type(uint256).max;
    uint256 private constant DOWN = ALL << 8 | 13;
    uint256 private constant PRICE = 1_750e18; // what ETH falls to
    uint256 private constant CAPITAL = 20_000e6; // in the receiver's account

    KeeperExecutor private executor;
    PooledPool private pool;
    PooledLender private lender;
    StubRelay private relay;
    uint256 private own;
    uint256 private weak;

    function setUp() public override {
        super.setUp();
        (own, weak) = (_account(RECEIVER, 0), _account(LOSER, 0));
        pool = new PooledPool(address(weth), address(usdc), PRICE / 1e12);
        lender = new PooledLender();
        relay = new StubRelay();
        usdc.mint(address(pool), 1_000_000e6);
        usdc.mint(address(lender), 1_000_000e6);
        _deployExecutor();
        _deposit(weak, 1, 20e18);
        _deposit(_account(WINNER, 0), 0, 500_000e6);
        _deposit(own, 0, CAPITAL);
        _skip(WINDOW);
        _refresh(ETH, ETH_PRICE);
        _trade(LOSER, WINNER, _perpetual(ETH), 20e18, ETH_PRICE);
    }

    function _deployExecutor() private {
        IKeeperExecutor.Relay[] memory relays = new IKeeperExecutor.Relay[](1);
        relays[0] = IKeeperExecutor.Relay(address(relay), StubRelay.push.selector);
        executor = new KeeperExecutor(
            address(this),
            address(this),
            vm.addr(RECEIVER),
            IKeeperExecutor.Peers(
                venue,
                auctions,
                riskArrays,
                products,
                address(usdc),
                IUniswapV3Factory(address(pool)),
                IERC3156FlashLender(address(lender))
            ),
            relays
        );
        executor.allowPool(IUniswapV3Pool(address(pool)), address(weth), true);
        vm.startPrank(vm.addr(RECEIVER));
        venue.setDelegate(own, address(executor), IAuctions.take.selector, type(uint40).max);
        venue.setDelegate(own, address(executor), IMarginVenue.withdraw.selector, type(uint40).max);
        vm.stopPrank();
    }

    function _job(uint256 steps) private view returns (IKeeperExecutor.Job memory job) {
        job.profitToken = address(usdc);
        job.deadline = uint40(block.timestamp);
        job.gas = 9_000_000;
        job.tokens = new address[](2);
        (job.tokens[0], job.tokens[1]) = (address(usdc), address(weth));
        job.steps = new IKeeperExecutor.Step[](steps);
    }

    function _step(IKeeperExecutor.Kind kind, uint32 gas, bytes memory arguments)
        private
        pure
        returns (IKeeperExecutor.Step memory)
    {
        return IKeeperExecutor.Step(kind, 0, false, gas, arguments);
    }

    /// @dev ETH falls, and the arrays have settled on it.
    function _fall() private {
        _skip(60);
        _refresh(ETH, PRICE);
        _skip(WINDOW);
        _refresh(ETH, PRICE);
    }

    function _start() private view returns (IKeeperExecutor.Step memory) {
        IAuctions.StartCall memory call =
            IAuctions.StartCall(weak, type(uint64).max, uint40(block.timestamp), false, DOWN);
        return _step(IKeeperExecutor.Kind.Start, 2_000_000, abi.encode(call));
    }

    function _take() private view returns (IKeeperExecutor.Step memory) {
        IAuctions.TakeCall memory call = IAuctions.TakeCall({
            account: weak,
            taker: own,
            auctionId: auctions.auction(weak).id,
            expectedSequence: type(uint64).max,
            takerSequence: type(uint64).max,
            maxFraction: uint128(WAD),
            maxPrice: type(int128).max,
            deadline: uint40(block.timestamp),
            byArrays: false,
            scenarios: DOWN,
            takerByLegs: false
        });
        return _step(IKeeperExecutor.Kind.Take, 3_000_000, abi.encode(call));
    }

    function _withdraw(uint256 asset, uint256 amount) private view returns (IKeeperExecutor.Step memory) {
        return _step(
            IKeeperExecutor.Kind.Withdraw,
            1_500_000,
            abi.encode(IKeeperExecutor.WithdrawStep(own, asset, amount, type(uint64).max))
        );
    }

    function _sell(uint256 minOut) private view returns (IKeeperExecutor.Step memory) {
        IKeeperExecutor.SwapStep memory s = IKeeperExecutor.SwapStep(address(pool), address(weth), ALL, minOut);
        return _step(IKeeperExecutor.Kind.Swap, 400_000, abi.encode(s));
    }

    function _lay(uint256 amount) private view returns (IKeeperExecutor.Step memory) {
        return _step(IKeeperExecutor.Kind.Deposit, 300_000, abi.encode(IKeeperExecutor.DepositStep(own, 0, amount)));
    }

    function _cool() private {
        address[11] memory all = [
            address(executor),
            address(venue),
            address(margin),
            address(riskArrays),
            address(prices),
            address(surface),
            address(products),
            address(auctions),
            address(usdc),
            address(weth),
            address(relay)
        ];
        for (uint256 i; i < all.length; ++i) {
            vm.cool(all[i]);
        }
    }

    /// Reports alone and a start behind one: what the executor adds to them is what its own steps cost.
    function test_a_report_and_a_start() public {
        _fall();
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _step(IKeeperExecutor.Kind.Report, 200_000, abi.encode(bytes("report")));
        _cool();
        executor.run(job);
        vm.snapshotGasLastCall("KeeperExecutor", "one report, two tokens to clear");
        job = _job(2);
        job.steps[0] = _step(IKeeperExecutor.Kind.Report, 200_000, abi.encode(bytes("report")));
        job.steps[1] = _start();
        _cool();
        executor.run(job);
        vm.snapshotGasLastCall("KeeperExecutor", "a report and a proven start");
        assertEq(auctions.auction(weak).id, 1);
    }

    /// A loan stands for capital the receiver's account has not: what is seized is sold and repays it.
    function test_a_take_on_borrowed_margin() public {
        _fall();
        IKeeperExecutor.Job memory job = _job(1);
        job.steps[0] = _start();
        executor.run(job);
        _skip(300);
        _refresh(ETH, PRICE);
        job = _job(4);
        uint256 lent = 30_000e6;
        job.loan = IKeeperExecutor.Loan(address(usdc), lent, lent / 1_000);
        (job.steps[0], job.steps[1], job.steps[2], job.steps[3]) = (_lay(lent), _take(), _withdraw(1, ALL), _sell(1));
        // The loan cannot come back out of the account while it carries what was seized: WETH must pay for it.
        uint256 before = usdc.balanceOf(vm.addr(RECEIVER));
        (bool done,) = address(executor).call(abi.encodeCall(executor.run, (job)));
        assertTrue(!done, "repaid out of nothing");
        job.loan = IKeeperExecutor.Loan(address(usdc), 5_000e6, 5e6);
        job.steps[0] = _lay(5_000e6);
        job.minProfit = 1_000e6;
        _cool();
        uint256 profit = executor.run(job);
        vm.snapshotGasLastCall("KeeperExecutor", "loan, deposit, take, withdraw, sell, repay");
        assertEq(usdc.balanceOf(vm.addr(RECEIVER)), before + profit);
        assertEq(usdc.balanceOf(address(lender)), 1_000_000e6 + 5e6);
        Book memory book = venue.book(own);
        assertEq(book.collateral.length, 0); // all of what was seized was sold
        assertEq(book.legs.length, 1);
        assertEq(usdc.balanceOf(address(executor)) + weth.balanceOf(address(executor)), 0);
    }

    function test_it_publishes_under_its_own_bond_which_ends_at_the_receiver() public {
        riskArrays.setPublisher(address(executor), true);
        usdc.mint(address(this), MINIMUM_BOND);
        usdc.approve(address(executor), MINIMUM_BOND);
        executor.bond(MINIMUM_BOND);
        _skip(60);
        bytes32 reportId = _report(ETH, ETH_PRICE);
        uint40[] memory live = products.expiriesAfter(ETH, uint40(block.timestamp));
        IKeeperExecutor.Job memory job = _job(live.length);
        for (uint256 i; i < live.length; ++i) {
            job.steps[i] = _step(IKeeperExecutor.Kind.Publish, 2_500_000, _arrayArguments(live[i], reportId));
        }
        _cool();
        executor.run(job);
        vm.snapshotGasLastCall("KeeperExecutor", "publish three expiries of six options");
        (, IRiskArrays.Epoch memory epoch) = riskArrays.current(ETH);
        assertEq(epoch.publisher, address(executor));
        assertEq(epoch.reportId, reportId);
        executor.requestUnbond();
        _skip(2 * WINDOW);
        executor.finishUnbond();
        // less a fine for whatever was late in the meantime
        assertLe(MINIMUM_BOND * 99 / 100, usdc.balanceOf(vm.addr(RECEIVER)));
        assertEq(usdc.balanceOf(address(executor)), 0);
    }

    function _arrayArguments(uint40 expiry, bytes32 reportId) private returns (bytes memory) {
        bytes32 sliceId = _fit(ETH, expiry);
        uint32 version = _version(ETH, reportId);
        bytes memory arrays = _arrays(ETH, expiry, reportId, sliceId);
        return abi.encode(ETH, expiry, reportId, sliceId, version, _listingId(ETH, expiry, version), arrays);
    }
}
