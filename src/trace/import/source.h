#pragma once

// Internal to trace/: what every import format gives.

#include <cstdint>
#include <memory>
#include <string>

#include "base/run_context.h"
#include "trace/import/import.h"
#include "trace/import/routing_block.h"
#include "trace/import/rows.h"
#include "trace/manifest.h"
#include "trace/token_names.h"
#include "trace/trace.h"

namespace foregate::trace {

/// One text of a source.
struct SourceText {
  Trace trace;        ///< `dataset` is set, `sample` is not; without tokens if nothing is usable
  std::string where;  ///< file and line, for messages
  int64_t cut = 0;    ///< tokens left out at the end, because cells are missing
};

/// Another tool's routing record. Its constructor looks at everything once, so that the geometry is
/// known before the first text is written; then the texts are streamed.
class TraceSource {
 public:
  virtual ~TraceSource() = default;

  /// Geometry (as far as the data tell: num_experts is the largest id + 1), model, gate_weights,
  /// token_ids. An export of foregate brings everything that the trace had.
  const Manifest& manifest() const { return manifest_; }
  /// Whether the data say how many experts there are.
  bool knows_experts() const { return knows_experts_; }
  /// Texts that next() will give.
  virtual int64_t num_texts() const = 0;
  /// False at the end. Throws DataError for what is not usable.
  virtual bool next(SourceText& text) = 0;
  /// The strings behind the ids that next() gave; empty if the source has none.
  const TokenNames& names() const { return names_; }
  /// To be asked at the end.
  virtual LeftOut left_out() const { return left_out_; }

 protected:
  Manifest manifest_;
  LeftOut left_out_;
  TokenNames names_;
  bool knows_experts_ = false;
};

/// The manifest of a trace of unknown origin: nothing but a model name.
Manifest imported_manifest(const std::string& model);
/// Geometry of layers 0 to num_moe_layers - 1.
Geometry plain_geometry(int64_t num_moe_layers, int64_t num_experts, int64_t top_k);
/// Geometry of those layers of a record that hold routing, and the layers that do not. An array
/// with dense layers has a place for every decoder layer.
Geometry geometry_of(const LayerSurvey& survey, const std::vector<int>& moe_layers);
std::vector<int> dense_layers(const LayerSurvey& survey, const std::vector<int>& moe_layers);

// All throw InterruptedError. What next() says goes to `run`, which outlives the source.
std::unique_ptr<TraceSource> open_request_arrays(const std::filesystem::path& list,
                                                 const ImportOptions& options,
                                                 const StopToken& stop);
std::unique_ptr<TraceSource> open_stacked_arrays(const std::filesystem::path& experts,
                                                 const ImportOptions& options,
                                                 const StopToken& stop);
std::unique_ptr<TraceSource> open_text_lines(const std::vector<std::filesystem::path>& files,
                                             const ImportOptions& options, const std::string& name,
                                             const RunContext& run);
std::unique_ptr<TraceSource> open_rows(std::unique_ptr<RoutingRows> rows,
                                       const ImportOptions& options, const std::string& name,
                                       const RunContext& run);
std::unique_ptr<TraceSource> open_npy(const ImportOptions& options, const StopToken& stop);
std::unique_ptr<TraceSource> open_jsonl(const ImportOptions& options, const RunContext& run);
std::unique_ptr<TraceSource> open_csv(const ImportOptions& options, const RunContext& run);

}  // namespace foregate::trace
