"""`python serve.py PORT COMMAND...`: a command for each TCP connection, which is its input and output, as inetd(8) does it."""

import os
import socket
import sys

listening = socket.create_server(("10.99.0.2", int(sys.argv[1])))
while True:
    connection, _ = listening.accept()
    if os.fork() == 0:
        for standard in (0, 1, 2):
            os.dup2(connection.fileno(), standard)
        os.execvp(sys.argv[2], sys.argv[2:])
    connection.close()
