#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>

#include "base/containers/safetensors_header.h"
#include "base/files.h"
#include "scoring/weights.h"

namespace foregate::scoring {

/// The tensors of a mapped safetensors file.
class WeightFile : public Weights {
 public:
  /// Throws EnvironmentError if the file is missing, DataError if it is broken or its SHA-256 is
  /// another one than `sha256`.
  WeightFile(const std::filesystem::path& path, const std::string& sha256);

  TensorView get(std::string_view name) const override;
  std::string where() const override { return file_.path().string(); }
  uint64_t bytes() const { return file_.bytes().size(); }

 private:
  struct Entry {
    const TensorRecord* record;
    const std::byte* data;
    std::unique_ptr<std::byte[]> copy;  // if the file does not align it
  };
  Entry entry_of(const TensorRecord& record) const;

  MappedFile file_;
  SafetensorsHeader header_;
  std::map<std::string_view, Entry> entries_;
};

}  // namespace foregate::scoring
