#pragma once

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

namespace foregate {

/// A file whose content every input replaces. Readers that take a path are fuzzed through it.
class ScratchFile {
 public:
  /// `extension`: ".csv", which readers choose a format by.
  explicit ScratchFile(const std::string& extension)
      : path_(std::filesystem::temp_directory_path() /
              ("foregate-fuzz-" + std::to_string(::getpid()) + extension)) {}
  ~ScratchFile() { std::filesystem::remove(path_); }

  const std::filesystem::path& write(const uint8_t* data, size_t size) const {
    std::ofstream(path_, std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(data), static_cast<std::streamsize>(size));
    return path_;
  }

 private:
  std::filesystem::path path_;
};

}  // namespace foregate
