"""Tests in layers: unit, property, cases, chain, chaos, bench."""
