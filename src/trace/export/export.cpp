#include "trace/export/export.h"

#include "base/atomic_folder.h"
#include "trace/export/exporter.h"
#include "trace/reader.h"
#include "trace/token_names.h"

namespace foregate::trace {

ExportSummary export_traces(const ExportOptions& options, const RunContext& run) {
  const TraceDirectory traces(options.traces);
  const Manifest& manifest = traces.manifest();
  AtomicFolder folder(options.output);
  const auto exporter = options.format == ExportFormat::kNpy
                            ? export_arrays(folder.temporary_path(), manifest)
                            : export_lines(folder.temporary_path(), manifest);
  ExportSummary summary;
  const auto progress =
      run.progress.start({.label = "exporting", .unit = "traces", .total = manifest.num_traces()});
  for (size_t shard = 0; shard < manifest.shards.size(); ++shard) {
    ShardReader reader = traces.open_shard(shard, {.gate_weights = manifest.gate_weights});
    Trace trace;
    while (reader.next(trace)) {
      run.stop.check("nothing was exported");
      exporter->add(trace);
      summary.tokens += trace.num_tokens();
      ++summary.traces;
      progress->update(summary.traces);
    }
  }
  progress->finish();
  exporter->finish();
  if (has_token_names(manifest.token_ids)) {
    TokenNames::read(options.traces, manifest.token_ids).write(folder.temporary_path());
  }
  folder.commit();
  return summary;
}

}  // namespace foregate::trace
