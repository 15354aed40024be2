#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/temporary_folder.h"

namespace foregate {

/// A file whose content every input replaces. Readers that take a path are fuzzed through it.
class ScratchFile {
 public:
  /// `extension`: ".csv", which readers choose a format by.
  explicit ScratchFile(const std::string& extension) : path_(folder_ / ("input" + extension)) {}

  const std::filesystem::path& write(const uint8_t* data, size_t size) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
    return path_;
  }

 private:
  testing::TemporaryFolder folder_;
  std::filesystem::path path_;
};

}  // namespace foregate
