"""How a file comes by HTTP: our own ranges, hf_transfer, Xet, the Hub's client; each behind one protocol."""
