#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "offload/time/hardware.h"

namespace foregate::offload {

/// One direction of a link, which moves experts one after another. Demand goes before prefetch, in
/// the order asked for; prefetch in the order of need. A prefetch goes in pieces, and between two
/// of them a demand overtakes it. An expert asked for in one piece, and one that is resumed, pays
/// the issue of a copy once more.
class TransferLink {
 public:
  struct Hooks {
    /// A prefetch is about to move its first byte: whether it may, that is, got a slot.
    std::function<bool(size_t expert)> begin;
    /// For a picture of what happened; may be empty.
    std::function<void(size_t expert, bool demand, double start, double seconds)> moved;
  };
  enum class State : uint8_t { kIdle, kQueued, kMoving, kThere };

  /// `num_experts` experts of `bytes` each. A prefetch goes in `pieces`.
  TransferLink(const LinkSpeed& speed, double bytes, int pieces, size_t num_experts, Hooks hooks);

  State state(size_t expert) const { return states_[expert]; }
  /// Asks for an expert that is idle, at time `now`; its bytes are at the link from `ready` on.
  void demand(size_t expert, double now, double ready);
  /// `need` orders prefetches: the lowest first.
  void prefetch(size_t expert, int64_t need, double now, double ready);
  /// A prefetch that is now waited for; it may not be idle.
  void promote(size_t expert);
  /// Drops a prefetch that is not there yet. -> bytes of it that were moved, in vain.
  double drop(size_t expert);
  /// The expert left its slot.
  void forget(size_t expert) { states_[expert] = State::kIdle; }

  /// Lets everything begin that can begin before `until`.
  void advance(double until);
  /// Lets the link run until the expert, which was asked for, is there. -> when it is.
  double arrival(size_t expert);
  /// When the piece that is moving now is over.
  double free_at() const { return free_at_; }
  double copy_seconds() const { return speed_.issue_seconds + whole_seconds_; }

  double demand_seconds() const { return demand_seconds_; }
  double prefetch_seconds() const { return prefetch_seconds_; }

 private:
  struct Job {
    size_t expert = 0;
    int64_t need = 0;
    double earliest = 0;
    int pieces_left = 0;
    bool demand = false;
    bool begun = false;
  };
  double start_of(const Job& job) const;
  size_t next_job(double& start) const;
  bool run_next(double until);
  void run(size_t index, double start);
  std::vector<Job>::iterator find(size_t expert);

  LinkSpeed speed_;
  double bytes_;
  double whole_seconds_;
  int pieces_;
  Hooks hooks_;
  std::vector<Job> jobs_;  // in the order asked for
  std::vector<State> states_;
  std::vector<double> arrivals_;
  double free_at_ = 0;
  int64_t running_ = -1;  // expert of the last piece
  double demand_seconds_ = 0;
  double prefetch_seconds_ = 0;
};

}  // namespace foregate::offload
