"""What holds for every test."""

import signal

# A shell that starts the tests in the background has them ignore Ctrl-C, and every command that
# they start with them; tests that interrupt one would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)
