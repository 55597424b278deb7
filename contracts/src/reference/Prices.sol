// SPDX-License-Identifier: MIT
pragma solidity 0.8.30;

import {Ownable} from "@openzeppelin/contracts/access/Ownable.sol";
import {IProducts} from "./interfaces/IProducts.sol";
import {ReportStore} from "./ReportStore.sol";
import {SliceStore} from "./SliceStore.sol";
import {StoreRules} from "./StoreRules.sol";
import {Observation, Slice} from "./Types.sol";

/// @title Owner-set prices and volatility slices by content hash.
contract Prices is ReportStore, SliceStore {
    constructor(IProducts products, address owner_) Ownable(owner_) StoreRules(products) {}

    /// @notice Record one report. Its id is the hash of the stored Report.
    function setReport(Observation calldata seen) external onlyOwner returns (bytes32 id) {
        return _setReport(seen);
    }

    /// @notice Record several reports, in order.
    function setReports(Observation[] calldata seen) external onlyOwner {
        for (uint256 i; i < seen.length; ++i) {
            _setReport(seen[i]);
        }
    }

    /// @notice Record one slice. Its id is the hash of it.
    function setSlice(Slice calldata fitted) external onlyOwner returns (bytes32 id) {
        return _setSlice(fitted);
    }

    /// @notice Record several slices, in order.
    function setSlices(Slice[] calldata fitted) external onlyOwner {
        for (uint256 i; i < fitted.length; ++i) {
            _setSlice(fitted[i]);
        }
    }
}
