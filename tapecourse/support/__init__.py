"""What the chapters use and do not teach."""
