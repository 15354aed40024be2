#include <string>
#include <vector>

namespace planted {

struct Column {
  std::string name;
  int unit = 0;
};

}  // namespace planted

size_t other_columns() {
  return std::vector<planted::Column>(2).size();
}
