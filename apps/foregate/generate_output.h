#pragma once

#include <cstdint>
#include <filesystem>
#include <set>
#include <string>

#include "base/json.h"
#include "base/run_context.h"

namespace foregate {

/// A file of JSON lines, one for each prompt that is done, in the order in which they are done. It
/// can be continued: what it was made with lies beside it as NAME.settings.json.
class GenerationFile {
 public:
  /// Throws UsageError if the file is there and was made with other settings (saying which differ),
  /// by something else, or is being written; DataError if a line of it is none of ours,
  /// EnvironmentError if it cannot be written. A last line that a killed run left unfinished goes.
  GenerationFile(std::filesystem::path path, const Json& settings, Logger& log);
  ~GenerationFile();
  GenerationFile(const GenerationFile&) = delete;
  GenerationFile& operator=(const GenerationFile&) = delete;

  /// Rows that were there when it was opened.
  const std::set<int64_t>& done() const { return done_; }
  /// Writes a line through to the system: it survives this process.
  void append(const Json& row);

 private:
  void begin(const Json& settings);
  void resume(const Json& settings, Logger& log);

  std::filesystem::path path_;
  int descriptor_ = -1;
  std::set<int64_t> done_;
};

}  // namespace foregate
