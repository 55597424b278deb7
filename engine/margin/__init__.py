"""Margin models: one file each behind `base.MarginModel`, one line each in MODELS."""
