#include <string>
#include <vector>

// As text/columns.h and report/table.h once did: two types of one name in one program.
namespace planted {

struct Column {
  std::string name;
  double value = 0;
  bool last = false;
};

}  // namespace planted

size_t other_columns();

int main() {
  const std::vector<planted::Column> columns(3);
  return columns.size() == other_columns() ? 0 : 1;
}
