#pragma once

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace foregate::predict {

/// Scalars over steps in the file format that TensorBoard reads: TFRecord frames, each with one
/// `Event` protocol buffer (tensorflow/core/util/event.proto,
/// tensorflow/core/lib/io/record_writer). A training that goes on adds a file; TensorBoard shows a
/// folder's files as one run.
class EventFile {
 public:
  /// Makes events.out.tfevents.TIME.foregate in the folder. Throws EnvironmentError.
  explicit EventFile(const std::filesystem::path& directory);

  /// Written at once, so that a running training can be watched. Throws EnvironmentError.
  void add(std::string_view tag, int64_t step, double value);
  const std::filesystem::path& path() const { return path_; }

 private:
  void write_record(const std::string& event);

  std::filesystem::path path_;
  std::ofstream file_;
};

/// CRC-32C (Castagnoli) of RFC 3720, appendix B.4.
uint32_t crc32c(std::string_view bytes);

}  // namespace foregate::predict
