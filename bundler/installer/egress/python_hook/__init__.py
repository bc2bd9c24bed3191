"""Where in the code: a hook in Python processes of checks that tells which line tried to reach out.

`sitecustomize` and `bundler_calls` are files for the container, run by its own Python; `session` puts them there,
`reports` reads what they say, `joining` brings it together with what the tripwire caught.
"""
