#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/run_context.h"
#include "trace/import/left_out.h"
#include "trace/manifest.h"

namespace foregate::trace {

enum class ImportFormat {
  kVllm,  ///< JSON lines: a routing decision a line, or a text a line
  kNpy,   ///< arrays [tokens, layers, k]: one a request, or all stacked
  kCsv    ///< a routing decision a row
};

/// A model's tokenizer, as far as an import needs it. Ids may have holes, whose strings are empty.
class TokenDictionary {
 public:
  virtual ~TokenDictionary() = default;
  virtual std::string name() const = 0;  ///< for messages
  virtual std::string sha256() const = 0;
  virtual int32_t size() const = 0;  ///< highest id + 1
  /// The token as the vocabulary spells it (with a letter for the space) and as people read it ("
  /// the").
  virtual std::string spelled(int32_t id) const = 0;
  virtual std::string decoded(int32_t id) const = 0;
};

struct ImportOptions {
  ImportFormat format = ImportFormat::kVllm;
  std::filesystem::path path;
  std::vector<std::filesystem::path> more_paths;  ///< read behind it; not for npy
  std::filesystem::path output;
  std::string model_name;  ///< empty: what the data say, else the name of the path
  int num_experts = 0;     ///< 0: the largest id + 1
  int top_k = 0;           ///< of arrays without a shape; 0: found out
  std::shared_ptr<const TokenDictionary> tokenizer;  ///< gives strings their ids; null: a hash does
  int64_t skip = 0;            ///< vllm: routing rows to leave out at the beginning
  bool allow_missing = false;  ///< leave out what is broken or incomplete instead of refusing
};

struct ImportSummary {
  Manifest manifest;
  int64_t dropped_texts = 0;  ///< nothing of them was usable
  int64_t cut_texts = 0;      ///< end before their first missing decision
  int64_t cut_tokens = 0;     ///< tokens that those two cost
  size_t token_names = 0;     ///< strings in tokens.json; 0 if there is none
  LeftOut left_out;
};

/// Turns another tool's routing record into a trace directory. The directory appears when it is
/// whole. Memory holds one text (in a log with interleaved texts: those that are open), the names
/// of the tokens and a few numbers for each text.
///
/// Throws UsageError (an output that exists, options that do not fit the format), EnvironmentError
/// (files missing), DataError (anything in the data that cannot be meant, naming file and place),
/// InterruptedError.
ImportSummary import_traces(const ImportOptions& options, const RunContext& run = silent_run());

}  // namespace foregate::trace
