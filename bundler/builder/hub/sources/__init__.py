"""Where models come from: the Hub and its mirrors, git with LFS, directories of this host, plain addresses."""
