"""The source policy: what programs that run without a network must not say, found without running them."""
