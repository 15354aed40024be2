#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "base/file_digest.h"
#include "base/json.h"
#include "base/run_context.h"

namespace foregate {

/// What results depend on.
struct GenerationSettings {
  Json settings;                    ///< an object
  std::vector<FileDigest> weights;  ///< of the model
};

/// A file of JSON lines, one for each prompt that is done, in the order in which they are done. It
/// can be continued: what it was made with lies beside it as NAME.settings.json.
class GenerationFile {
 public:
  /// Throws UsageError if the file is there and was made with other settings (saying which differ),
  /// by something else, or is being written; DataError if the weights are not those it was begun
  /// with or a line of it is none of ours, EnvironmentError if it cannot be written. A last line
  /// that a killed run left unfinished goes. Of a file from before weights were noted, one line
  /// says that they cannot be checked.
  GenerationFile(std::filesystem::path path, const GenerationSettings& settings, Logger& log);
  ~GenerationFile();
  GenerationFile(const GenerationFile&) = delete;
  GenerationFile& operator=(const GenerationFile&) = delete;

  /// Rows that were there when it was opened.
  const std::set<int64_t>& done() const { return done_; }
  /// Writes a line through to the system: it survives this process.
  void append(const Json& row);

 private:
  void begin(const GenerationSettings& settings);
  void resume(const GenerationSettings& settings, Logger& log);
  void require_same(const GenerationSettings& settings, Logger& log);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::set<int64_t> done_;
};

}  // namespace foregate
