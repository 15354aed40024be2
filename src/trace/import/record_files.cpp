#include "trace/import/record_files.h"

#include <algorithm>
#include <string>

namespace foregate::trace {

bool is_named(const std::filesystem::path& file, std::initializer_list<std::string_view> endings) {
  std::string name = file.filename().string();
  for (const std::string_view packed : {".gz", ".zst", ".bz2", ".lz4"}) {
    if (!name.ends_with(packed)) continue;
    name.resize(name.size() - packed.size());
    break;
  }
  return std::any_of(endings.begin(), endings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); });
}

}  // namespace foregate::trace
