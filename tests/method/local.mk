# tests of method
