"""One connection without its socket, the same at both ends and on every front-end.

Sans-I/O: time and bytes are handed in. The modules of this package are compiled where that is
possible, as those of ``telex.wire`` are. A front-end drives a connection so::

    wait until the socket is ready, or until connection.next_deadline
    now = the time at which the wait has ended
    receive, and hand the bytes to receive_data, receive_eof or lost; handle the messages
    if now >= next_deadline: handle_deadline(now)
    while pieces := data_to_send(): send them; data_sent(how many bytes went)
    if wants_to_end_output: shut the output of the socket down; output_ended(now)
    if is_finished: finish(), and close the socket
    wait for reading if wants_to_read, for writing if wants_to_write
"""
