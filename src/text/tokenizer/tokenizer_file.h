#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "text/tokenizer/vocabulary.h"

namespace foregate::text {

/// A tokenizer.json in memory: the two large tables apart, the rest as JSON. Files of other formats
/// (see formats/) are read as the tokenizer.json that does the same.
struct TokenizerFile {
  std::string where;  ///< the file's path, for errors
  /// The document; model.vocab and model.merges are null.
  std::shared_ptr<const Json> document;
  Vocabulary vocabulary;
  std::vector<std::pair<std::string, std::string>> merges;  ///< in rank order
  std::vector<uint32_t> merge_ranks;  ///< of each merge, several may share one; empty: its place
  std::vector<std::string> notes;     ///< what the file does not say, a line each

  /// The component at `key`, or null.
  const Json& component(const char* key) const;

  /// Reads a tokenizer.json, a GGUF file's tokenizer or a file of tiktoken ranks. Throws
  /// EnvironmentError (missing) or DataError (broken, tables of the wrong kind).
  static TokenizerFile read(const std::filesystem::path& path);
};

}  // namespace foregate::text
