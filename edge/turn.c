/* turn.c - a lock with two kinds of holders, and a lock on a file. */
#include "edge/turn.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "edge/agent/place.h"
#include "shared/base/cond.h"
#include "shared/base/file.h"

#define SIGN "listening.lock"
enum { HOLD_TRIES = 10, HOLD_MS = 10 };

bool vx_turn_init(vx_turn *turn)
{
    *turn = (vx_turn){.holder = VX_TURN_FREE};
    if (pthread_mutex_init(&turn->lock, NULL) != 0)
        return false;
    if (vx_cond_init(&turn->changed))
        return true;
    (void)pthread_mutex_destroy(&turn->lock);
    return false;
}

void vx_turn_done(vx_turn *turn)
{
    (void)pthread_cond_destroy(&turn->changed);
    (void)pthread_mutex_destroy(&turn->lock);
}

bool vx_turn_take(vx_turn *turn, uint64_t due_ns)
{
    (void)pthread_mutex_lock(&turn->lock);
    turn->n_waiting++;
    bool in_time = true;
    while (turn->holder == VX_TURN_WAKE && in_time)
        in_time = vx_cond_wait_until(&turn->changed, &turn->lock, due_ns);
    turn->n_waiting--;
    const bool taken = turn->holder == VX_TURN_FREE;
    if (taken)
        turn->holder = VX_TURN_ASKED;
    (void)pthread_mutex_unlock(&turn->lock);
    return taken;
}

bool vx_turn_take_free(vx_turn *turn)
{
    (void)pthread_mutex_lock(&turn->lock);
    const bool taken = turn->holder == VX_TURN_FREE && turn->n_waiting == 0;
    if (taken)
        turn->holder = VX_TURN_WAKE;
    (void)pthread_mutex_unlock(&turn->lock);
    return taken;
}

bool vx_turn_wanted(vx_turn *turn)
{
    (void)pthread_mutex_lock(&turn->lock);
    const bool wanted = turn->n_waiting > 0;
    (void)pthread_mutex_unlock(&turn->lock);
    return wanted;
}

void vx_turn_give(vx_turn *turn)
{
    (void)pthread_mutex_lock(&turn->lock);
    turn->holder = VX_TURN_FREE;
    (void)pthread_cond_broadcast(&turn->changed);
    (void)pthread_mutex_unlock(&turn->lock);
}

/* ---- between programs ----------------------------------------------------------------------------------------------- */

static vx_err open_sign(const char *folder, int flags, int *ret_fd)
{
    char path[PATH_MAX];
    const vx_err err = vx_path_join(folder, SIGN, path, sizeof path);
    return err == VX_OK ? vx_agent_open(path, O_RDWR | flags, ret_fd, NULL) : err;
}

vx_err vx_sign_hold(const char *folder, int *ret_fd, vx_errinfo *info)
{
    int fd = -1;
    if (vx_agent_take_folder(folder, NULL) == VX_OK && open_sign(folder, O_CREAT, &fd) == VX_OK) {
        /* The agent looks by a shared lock that it holds for a moment: that is no command. */
        int status = flock(fd, LOCK_EX | LOCK_NB);
        for (int i = 1; i < HOLD_TRIES && status != 0; i++) {
            (void)nanosleep(&(struct timespec){.tv_nsec = HOLD_MS * 1000000L}, NULL);
            status = flock(fd, LOCK_EX | LOCK_NB);
        }
        if (status != 0) {
            close(fd);
            return vx_errinfo_set(info, VX_ERR_BUSY, "another voxlock listens right now: try again in a moment");
        }
    }
    *ret_fd = fd;
    return VX_OK;
}

bool vx_sign_held(const char *folder)
{
    int fd = -1;
    if (open_sign(folder, 0, &fd) != VX_OK)
        return false;
    const bool held = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return held;
}
