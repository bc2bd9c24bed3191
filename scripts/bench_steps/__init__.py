"""``scripts/bench``: bundler's speed as ratios against what a user would do by hand, in one run on one machine."""
