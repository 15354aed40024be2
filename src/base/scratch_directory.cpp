#include "base/scratch_directory.h"

#include "base/error.h"

namespace foregate {

ScratchDirectory::ScratchDirectory(const std::filesystem::path& path) : path_(path) {
  if (std::filesystem::exists(path)) {
    throw UsageError(path.string() + " exists; name a directory that may be made and removed");
  }
  std::filesystem::create_directories(path);
}

ScratchDirectory::~ScratchDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace foregate
