"""Values as what other libraries hold, and the other way round; each library is imported where it is needed."""
