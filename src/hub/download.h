#pragma once

#include <atomic>
#include <cstdint>
#include <string>

#include "hub/http.h"
#include "hub/listing.h"
#include "hub/repo_cache.h"

namespace foregate::hub {

/// How far all transfers of one pull are, for a thread that shows it.
struct Meter {
  std::atomic<int64_t> done{0};      ///< bytes of the files to be had that are there
  std::atomic<int64_t> received{0};  ///< bytes that came over the network
  std::atomic<int> files{0};         ///< files that are whole
};

/// One file's part of Meter::done.
class FileMeter {
 public:
  /// `counted`: what the meter holds of this file already.
  FileMeter(Meter& meter, uint64_t counted)
      : meter_(meter), counted_(static_cast<int64_t>(counted)) {}
  /// So many bytes of the file are there now.
  void set(uint64_t bytes) {
    meter_.done += static_cast<int64_t>(bytes) - counted_;
    counted_ = static_cast<int64_t>(bytes);
  }
  void add_received(uint64_t bytes) { meter_.received += static_cast<int64_t>(bytes); }

 private:
  Meter& meter_;
  int64_t counted_;
};

/// Where a file is downloaded from, and into which snapshot.
struct Source {
  RepoId repo;
  std::string revision;  ///< as the user said it, for messages
  std::string commit;
};

/// Puts one file into the cache: waits for its lock, goes on where an earlier transfer ended, tries
/// again while that helps, checks size and hash of what lies on the disk, and only then gives the
/// blob its name and the snapshot its link. What came stays for the next run whatever happens.
/// Throws EnvironmentError (refused, not reachable, disk full), DataError (the content is wrong,
/// twice), Stopped.
void download_file(HttpClient& client, const RepoCache& cache, const Source& source,
                   const RemoteFile& file, FileMeter& meter);

}  // namespace foregate::hub
