"""What does reading many accounts in one call cost? Run: python -m tests.lens_study"""
