"""The release's own programs in .ci, on throwaway repositories."""
