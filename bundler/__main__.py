"""``python -m bundler``, the command ``bundler`` and the loader ``bundler.pyz`` all start here."""

from bundler.cli.main import main

if __name__ == "__main__":
    main()
