"""The whole job, from the socket to Redis, beside others: see __main__."""
