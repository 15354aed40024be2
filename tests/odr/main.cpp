// Only linked, never run: the libraries are linked whole.
int main() {
  return 0;
}
