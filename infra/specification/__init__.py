"""What a stack file may say, as typed values that are checked before any resource."""
