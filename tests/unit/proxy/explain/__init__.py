"""What is told of a request, from plans of this package's own sample."""
