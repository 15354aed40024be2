#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_digest.h"
#include "base/json.h"
#include "trace/router_spec.h"
#include "trace/trace.h"

namespace foregate::trace {

inline constexpr int kTraceFormatVersion = 1;
inline constexpr const char* kManifestName = "manifest.json";

struct ShardEntry {
  std::string file;  ///< part-NNNNN.parquet
  int64_t rows = 0;  ///< traces
  int64_t tokens = 0;
  int64_t bytes = 0;
  std::string sha256;    ///< of the Parquet file
  std::string features;  ///< part-NNNNN.features.safetensors, empty if none was recorded
  int64_t feature_bytes = 0;
};

struct DatasetEntry {
  std::string name;
  std::string source;     ///< path (and column) as the user gave it
  int64_t traces = 0;     ///< planned; equal to what the shards hold once complete
  int64_t available = 0;  ///< usable rows in the source
  int64_t skipped = 0;    ///< unusable rows in the source
  std::string sha256{};   ///< of its usable texts; empty in imports and older traces
};

/// What the token ids of a trace are.
enum class TokenIds : uint8_t {
  kTokenizer,     ///< ids of the model's tokenizer
  kHashed,        ///< imported strings, a hash of each; tokens.json has them
  kByAppearance,  ///< imported strings, numbered by first appearance, as imports did it before
  kUnique         ///< the source had no tokens: every token has an id of its own
};

/// "ids of the model's tokenizer", for messages.
std::string_view description(TokenIds token_ids);
/// As the manifest has it: "tokenizer", "hashed", ... Throws DataError for any other name.
const char* token_ids_name(TokenIds token_ids);
TokenIds token_ids_from_name(const JsonReader& reader, const char* key);

/// manifest.json: what a trace directory holds and how it was made.
struct Manifest {
  std::string model;             ///< model id or directory name
  std::string model_type;        ///< "qwen2_moe"; empty for imports of unknown models
  std::string config_sha256;     ///< digest of config.json; empty for imports
  std::string tokenizer_sha256;  ///< digest of tokenizer.json; empty for imports
  std::vector<FileDigest>
      weights;                 ///< of the checkpoint (samples); empty in imports and older traces
  std::string routers_sha256;  ///< digest of routers.safetensors, if there is one
  std::string dtype =
      "float32";  ///< compute type: float32, bfloat16, float16; "unknown" for imports
  std::string quantization = "none";  ///< "unknown" for imports
  Geometry geometry;
  /// How the routers decide; nothing for imports, and in traces from before there were others than
  /// softmax over all experts.
  std::optional<RouterSpec> router;
  TokenIds token_ids = TokenIds::kTokenizer;
  uint64_t seed = 0;
  int64_t max_length = 0;  ///< texts were cut to this many tokens; 0 = not cut
  bool gate_weights = true;
  bool router_logits = false;
  double feature_fraction = 0;  ///< share of traces with recorded features
  int64_t shard_traces = 0;     ///< traces in a full shard; 0 for imports
  int64_t batch_tokens = 0;     ///< token budget of the packed batches; 0 for imports
  /// How many traces were planned before it grew to what is planned now, ascending.
  std::vector<int64_t> grown_from;
  std::vector<DatasetEntry> datasets;
  std::vector<ShardEntry> shards;
  bool complete = false;

  int64_t num_traces() const;   ///< that are there
  int64_t num_planned() const;  ///< that are to be there in the end
  int64_t num_tokens() const;
  Json to_json() const;
  /// Throws DataError naming file and key for anything missing, of the wrong type or inconsistent.
  static Manifest from_json(const Json& json, const std::string& where);
};

/// Throws EnvironmentError if there is no manifest (saying what a trace directory is), DataError if
/// it is broken or of a newer format version.
Manifest read_manifest(const std::filesystem::path& directory);
void write_manifest(const std::filesystem::path& directory, const Manifest& manifest);

}  // namespace foregate::trace
