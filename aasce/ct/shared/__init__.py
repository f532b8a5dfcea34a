"""What two methods of `aasce.ct` use."""
