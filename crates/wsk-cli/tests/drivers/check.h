/*
 * check.h: for drivers that check things by themselves: a line for each check that fails, and at last `N checks, M failed`.
 */
static LONG Checks, Failed;

static void CheckAt(BOOLEAN Good, const char *What, int Line)
{
    InterlockedIncrement(&Checks);
    if (!Good) {
        InterlockedIncrement(&Failed);
        DbgPrint("line %d: %s\n", Line, What);
    }
}
#define CHECK(Condition) CheckAt((BOOLEAN)!!(Condition), #Condition, __LINE__)

static void SayChecks(void)
{
    DbgPrint("%d checks, %d failed\n", Checks, Failed);
}
