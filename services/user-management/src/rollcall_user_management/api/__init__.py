"""gRPC: requests in, answers and errors out."""
