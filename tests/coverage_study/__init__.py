"""Do the reference venue's arrays cover full revaluation after any allowed move? Run: python -m tests.coverage_study"""
