"""One model in any format, tensor by tensor: canonical names, digests, and what a configuration leads one to expect."""
